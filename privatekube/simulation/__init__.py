"""What a policy would have granted: scenarios, and their replay with a clock of their own."""
