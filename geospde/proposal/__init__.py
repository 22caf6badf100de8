"""A run file proposed from the files of a survey: columns, family, coordinate system, mesh, priors, cells."""

from geospde.proposal.asking import Guesser, Terminal
from geospde.proposal.proposal import Proposal, propose
from geospde.proposal.roles import Options
from geospde.proposal.writing import refuse_target, write_run_file

__all__ = ["Guesser", "Options", "Proposal", "Terminal", "propose", "refuse_target", "write_run_file"]
