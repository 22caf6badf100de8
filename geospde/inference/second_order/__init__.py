"""Second-order Laplace: what cubic and quartic terms of the log likelihood add to evidence, variances and skewness.

Written in the predictors, with C their posterior covariance, h its diagonal and l3, l4 the third and fourth
derivatives of the log density (Shun & McCullagh 1995, J. R. Statist. Soc. B 57, 749-760, equation (5); the terms are
the one-loop corrections of Tierney & Kadane 1986 for a likelihood that is a product over observations):

    log evidence    + sum l4 h² / 8 + (l3 h)' C (l3 h) / 8 + sum_ij l3_i C_ij³ l3_j / 12
    cov of b'x      + c' M c,  c = cov(b'x, eta),  M = diag(l4 h / 2 + l3 (C l3 h) / 2) + (l3 l3') C² / 2
    third cumulant  sum_i l3_i c_i³
"""
