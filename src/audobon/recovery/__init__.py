"""Recovery: what is damaged or lost is found when an engine starts, mended from copies, and told."""
