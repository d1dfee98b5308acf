"""the rows of a range as a DataFrame, and what a transform returned as rows again"""
