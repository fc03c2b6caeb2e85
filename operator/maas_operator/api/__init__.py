"""What users write and see: the five kinds, their conditions, and the values that pass between the rooms."""
