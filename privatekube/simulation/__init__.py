"""What a policy would have granted: scenarios of blocks and claims, and their replay on a simulated clock."""
