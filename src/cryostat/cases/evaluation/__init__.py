"""Judging methods: splits, what is offered of each patient, selection inside the fold, predictions."""
