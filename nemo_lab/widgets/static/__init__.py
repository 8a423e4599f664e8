"""What is shown without a kernel: report, picture, saved output."""
