"""From finished runs to the committed summary, its table and its plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.downstream.plan import Plan
from synthaug.evaluation import describe_environment, paired_difference
from synthaug.storage import new_file

METRICS = ("balanced_accuracy", "accuracy")


def summarise(plan: Plan, measured: dict[str, Any], command: str) -> dict[str, Any]:
    """Return the JSON-able summary: values of every seed, means, spreads, and paired gains over each arm's base."""
    return {
        "benchmark": "downstream",
        "name": plan.name,
        "command": command,
        **describe_environment(),
        "seeds": list(range(plan.seeds)),
        "metric": "balanced accuracy on test, shares from 0 to 1; gains are paired by seed, 95 % Student t interval",
        "test_images": measured["test_images"],
        "plan": plan.to_dict(),
        "regimes": {name: _regime(values) for name, values in measured["regimes"].items()},
    }


def _regime(values: dict[str, Any]) -> dict[str, Any]:
    arms = values["arms"]
    controls = {arm["base"]: arm for arm in arms if arm["generator"] is None}
    return {
        "train_images": values["train_images"],
        "class_counts": values["class_counts"],
        "choices": values["choices"],
        "generators": {
            name: {
                "fit_seconds": [run["fit_seconds"] for run in runs],
                "generate_seconds": [run["generate_seconds"] for run in runs],
                "samples": runs[0]["samples"],
                "parameters": runs[0]["parameters"],
                "digests": [run["generator_digest"] for run in runs],
                "bank_digests": [run["bank_digest"] for run in runs],
            }
            for name, runs in values["generators"].items()
        },
        "arms": [_arm(arm, controls[arm["base"]]) for arm in arms],
    }


def _arm(arm: dict[str, Any], control: dict[str, Any]) -> dict[str, Any]:
    runs = arm["runs"]
    summary: dict[str, Any] = {key: arm[key] for key in ("base", "generator", "policy", "settings")}
    summary["steps"] = [run["steps"] for run in runs]
    summary["synthetic_share"] = float(np.mean([run["synthetic_images"] / run["images"] for run in runs]))
    summary["seconds"] = [round(run["seconds"], 2) for run in runs]
    for metric in METRICS:
        per_seed = [run["test"][metric] for run in runs]
        without = [run["test"][metric] for run in control["runs"]]
        summary[metric] = {
            "per_seed": per_seed,
            "mean": float(np.mean(per_seed)),
            "std": float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None,
            "gain": None if arm["generator"] is None else paired_difference(per_seed, without).to_dict(),
        }
    recalls = [[np.nan if value is None else value for value in run["test"]["recall"]] for run in runs]
    summary["recall_per_seed"] = [[None if np.isnan(value) else value for value in row] for row in recalls]
    return summary


def arm_name(arm: dict[str, Any]) -> str:
    """Return the short name of an arm."""
    return arm["base"] if arm["generator"] is None else f"{arm['base']} + {arm['generator']}, {arm['policy']}"


def tables(summary: dict[str, Any]) -> list[Table]:
    """Return one table a regime for the terminal."""
    made = []
    for name, regime in summary["regimes"].items():
        table = Table(title=f"{summary['name']} · {name} · balanced accuracy on test, %", title_justify="left")
        for column in ("arm", "mean ± std", "seeds", "gain (points)", "95 % interval", "wins"):
            table.add_column(column, justify="left" if column == "arm" else "right")
        for arm in regime["arms"]:
            table.add_row(arm_name(arm), *_cells(arm))
        made.append(table)
    return made


def _cells(arm: dict[str, Any]) -> tuple[str, str, str, str, str]:
    values = arm["balanced_accuracy"]
    spread = "" if values["std"] is None else f" ± {100 * values['std']:.1f}"
    seeds = " ".join(f"{100 * value:.1f}" for value in values["per_seed"])
    gain = values["gain"]
    if gain is None:
        return f"{100 * values['mean']:.1f}{spread}", seeds, "", "", ""
    interval = "" if gain["low"] is None else f"{100 * gain['low']:+.1f} … {100 * gain['high']:+.1f}"
    return (
        f"{100 * values['mean']:.1f}{spread}",
        seeds,
        f"{100 * gain['mean']:+.1f}",
        interval,
        f"{gain['wins']}/{gain['pairs']}",
    )


def plot(summary: dict[str, Any], path: Path) -> None:
    """Draw every seed of every arm, the means, and the interval of each gain beside it."""
    from matplotlib.figure import Figure

    regimes = summary["regimes"]
    rows = max(len(regime["arms"]) for regime in regimes.values())
    figure = Figure(figsize=(6.2 * len(regimes), 1.2 + 0.36 * rows), layout="constrained")
    panels = figure.subplots(1, len(regimes), squeeze=False)[0]
    for panel, (name, regime) in zip(panels, regimes.items(), strict=True):
        for row, arm in enumerate(regime["arms"]):
            values = 100 * np.array(arm["balanced_accuracy"]["per_seed"])
            gain = arm["balanced_accuracy"]["gain"]
            colour = {None: "0.45", "better": "tab:green", "worse": "tab:red", "unclear": "tab:blue"}[
                gain and gain["verdict"]
            ]
            panel.scatter(values, np.full(len(values), row), s=14, color=colour, alpha=0.55, linewidths=0)
            panel.scatter([values.mean()], [row], marker="|", s=180, color=colour)
            if gain is not None:
                text = f"{100 * gain['mean']:+.1f}"
                if gain["low"] is not None:
                    text += f"  [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
                panel.annotate(
                    text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=7, color=colour
                )
        panel.set_yticks(range(len(regime["arms"])), [arm_name(arm) for arm in regime["arms"]], fontsize=8)
        panel.set_ylim(len(regime["arms"]) - 0.5, -0.5)
        panel.set_xlabel("balanced accuracy on test (%), one dot a seed; right: paired gain, 95 % interval", fontsize=7)
        panel.set_title(f"{name} ({regime['train_images']} images)", fontsize=10)
        panel.grid(axis="x", alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{summary['name']}: {summary['plan']['classifier'].get('model', 'resnet10t')} with and without samples",
        fontsize=11,
    )
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
