"""A run's records judged stage by stage: what the stages read, how they resume, what they come to."""
