"""From what people write to nodes, objectives and budgets."""
