"""What is minimised: functions of sums over the positions of maps."""
