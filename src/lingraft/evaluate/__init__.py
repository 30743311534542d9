"""Evaluation. TASKS, the table of what a model can be fine-tuned on and scored by, is in lingraft.evaluate.table."""
