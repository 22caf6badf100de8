# Columns that R 4.2 makes of the right sides of formulas; data are in data.csv beside
suppressPackageStartupMessages(library(lme4))
d <- read.csv("tests/reference/formula/data.csv", stringsAsFactors = FALSE)
d$flag <- d$flag == "True"
d$size <- factor(d$size, levels = c("lo", "mid", "hi"))
fixed <- c("~ x", "~ 0 + x", "~ x - 1", "~ x + z", "~ text", "~ 0 + text", "~ text - 1", "~ x + text", "~ 0 + x + text",
 "~ size", "~ size + text", "~ 0 + size + text", "~ x:z", "~ x * z", "~ x:text", "~ x * text", "~ 0 + x:text", "~ text / x", "~ text + text:x",
 "~ text * size", "~ 0 + text:size", "~ 0 + text * size", "~ text:size", "~ text / size", "~ size %in% text", "~ (text + size + x)^2",
 "~ (text + size + x)^2 - text:x", "~ text * size - size", "~ text * size - text - size", "~ log(z) + sqrt(z)", "~ I(x^2) + x", "~ poly(x, 2)", "~ poly(x, 3) * text",
 "~ scale(x) * text", "~ flag", "~ 0 + flag", "~ text:flag", "~ 0 + text:flag", "~ text / flag", "~ flag * x", "~ I(x > 0)", "~ text:I(x > 0)", "~ factor(k)", "~ factor(k) * x",
 "~ text:size + x", "~ text + size:x", "~ x^2", "~ text:size:x", "~ 0 + text:size:x", "~ (text + x) / size", "~ text * flag * size", "~ 1", "~ -1 + x + (z + text)")
mixed <- c("(1 | g)", "(x | g)", "(1 + x | g)", "(0 + x | g)", "(x - 1 | g)", "(x + z | g)", "(x || g)", "(x + z || g)", "(0 + x || g)", "(text | g)", "(0 + text | g)",
 "(text || g)", "(size + x | g)", "(x * z | g)", "(x:z | g)", "(x * z || g)", "(1 | g/h)", "(x | g/h)", "(1 | g:h)", "(x | g:h)", "(1 | g) + (1 | h)", "(1 | g) + (0 + x | g)", "(x | g) + (1 | h)",
 "(x || g) + (1 | h)", "(1 | g/h/k)", "(flag | g)", "(0 + flag | g)", "(poly(x, 2) | g)", "(log(z) | g)", "(x || g/h)", "(text:x | g)", "(0 + text:x | g)", "(I(x > 0) | g)", "(1 | g:h) + (1 | g)", "(text * x | g)")
num <- function(v) paste0("[", paste(format(v, digits = 15, trim = TRUE), collapse = ", "), "]")
str1 <- function(s) paste0("\"", s, "\"")
out <- c()
for (f in fixed) {
  X <- model.matrix(as.formula(f), d)
  q <- qr(X); X <- X[, q$pivot[seq_len(q$rank)], drop = FALSE]
  rows <- apply(X, 1, num)
  out <- c(out, paste0("  ", str1(f), ": {\"columns\": [", paste(str1(colnames(X)), collapse = ", "), "], \"values\": [", paste(rows, collapse = ", "), "]}"))
}
cat("{\n", paste(out, collapse = ",\n"), "\n}\n", sep = "", file = "tests/reference/formula/fixed.json")
out <- c()
for (f in mixed) {
  m <- lFormula(as.formula(paste("y ~ 1 +", f)), d, control = lmerControl(check.nobs.vs.nRE = "ignore", check.nobs.vs.nlev="ignore", check.nobs.vs.rankZ = "ignore"))
  t <- m$reTrms
  Z <- t(as.matrix(t$Zt))
  # the covariance of the random part with all thetas as at the start is Z Z'; that of each term by itself
  terms <- sapply(seq_along(t$cnms), function(i) {
    rows <- (t$Gp[i] + 1):t$Gp[i + 1]
    paste0("{\"group\": ", str1(names(t$cnms)[i]), ", \"effects\": [", paste(str1(t$cnms[[i]]), collapse = ", "), "], \"levels\": ",
      length(levels(t$flist[[attr(t$flist, "assign")[i]]])), ", \"squares\": ", num(rowSums(Z[, rows, drop = FALSE]^2)), ", \"sums\": ", num(rowSums(Z[, rows, drop = FALSE])),
      ", \"columns\": ", num(sort(colSums(Z[, rows, drop = FALSE]))), "}")
  })
  out <- c(out, paste0("  ", str1(f), ": [", paste(terms, collapse = ", "), "]"))
}
cat("{\n", paste(out, collapse = ",\n"), "\n}\n", sep = "", file = "tests/reference/formula/mixed.json")
