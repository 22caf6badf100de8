"""A run file proposed from the files of a survey: columns, family, coordinate system, mesh, priors, cells."""

from geospde.run.proposal.asking import Guesser, Terminal
from geospde.run.proposal.proposal import Proposal, propose
from geospde.run.proposal.roles import Options
from geospde.run.proposal.writing import refuse_target

__all__ = ["Guesser", "Options", "Proposal", "Terminal", "propose", "refuse_target"]
