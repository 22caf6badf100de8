"""``geospde check``: everything read and checked, nothing fitted."""

from __future__ import annotations

import sys

import typer

from geospde.cli.options import Json, MaxMemory, RunFile, Silent, Verbose, first_look, listening, print_json


def check(
    run_file: RunFile,
    max_memory: MaxMemory = None,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Read and check everything, fit nothing, write nothing: a table of findings, exit code 2 if one is an error."""
    source = first_look(run_file)
    from geospde.run import check
    from geospde.text.findings import count_levels

    with listening(quiet or as_json, verbose, max_memory) as progress:
        findings = check.check(source, progress=progress)
    levels = count_levels(findings)
    if as_json:
        entries = [finding.to_dict() for finding in findings]
        print_json({"run_file": str(run_file), "can_run": not levels["error"], **levels, "findings": entries})
    elif quiet:
        for finding in findings:
            if finding.level == "error":
                print(f"geospde: {finding.subject}: {finding.message}; {finding.remedy}".rstrip("; "), file=sys.stderr)
    else:
        from geospde.cli.terminal import print_findings, verdict

        print_findings(findings)
        print(verdict(run_file, levels))
    if levels["error"]:
        raise typer.Exit(2)
