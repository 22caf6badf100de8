"""The steps of a run, one a file; `geospde.run.pipeline.STEPS` is their order."""
