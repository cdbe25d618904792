"""What logs, submission.json and README say of the runs; none of it changes the verdict on legality."""
