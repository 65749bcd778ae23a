"""What every process of the suite stands on; it knows no domain noun."""
