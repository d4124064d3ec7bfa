"""What differential privacy costs: accuracy of a classifier trained on samples alone, by ε."""
