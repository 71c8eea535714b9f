"""Results of the cases benchmark: predictions of patients and everything that follows from them. Needs no torch."""
