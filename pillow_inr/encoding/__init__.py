"""What the encoders of all models share: the source image, deadlines and schedules, the search for a lambda."""
