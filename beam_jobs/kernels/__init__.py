"""What the jobs compute, in numpy and pyarrow, without Beam."""
