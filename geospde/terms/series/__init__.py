"""Terms along one number: walks, autoregressive series, seasonal patterns."""
