"""The sections of a run file, as pydantic models; `geospde.run.config.Config` has them all."""
