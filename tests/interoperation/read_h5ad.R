# Reads an h5ad file with a package of R's, and prints what it found, one fact a line.
#
#   Rscript read_h5ad.R rhdf5|hdf5r FILE
suppressMessages(library(Matrix))
arguments <- commandArgs(trailingOnly = TRUE)
package <- arguments[1]
file <- arguments[2]

if (package == "rhdf5") {
  read <- function(name) as.vector(rhdf5::h5read(file, name, bit64conversion = "double"))
  attribute <- function(name, which) as.vector(rhdf5::h5readAttributes(file, name)[[which]])
  dense <- function(name) rhdf5::h5read(file, name, bit64conversion = "double")
  names_in <- function(group) unique(rhdf5::h5ls(rhdf5::H5Gopen(rhdf5::H5Fopen(file), group), recursive = FALSE)$name)
} else {
  h5 <- hdf5r::H5File$new(file, mode = "r")
  read <- function(name) as.vector(h5[[name]][])
  attribute <- function(name, which) hdf5r::h5attr(h5[[name]], which)
  dense <- function(name) h5[[name]][, ]
  names_in <- function(group) h5[[group]]$names
}

# compressed rows of cells are compressed columns of R's genes x cells
matrix_of <- function(name) {
  if (!grepl("csr", attribute(name, "encoding-type"))) return(dense(name))
  shape <- as.integer(attribute(name, "shape"))
  sparseMatrix(
    i = as.integer(read(paste0(name, "/indices"))), p = as.integer(read(paste0(name, "/indptr"))),
    x = as.numeric(read(paste0(name, "/data"))), dims = rev(shape), index1 = FALSE
  )
}
X <- matrix_of("X")
rownames(X) <- read("var/_index")
colnames(X) <- read("obs/_index")
cat("dim", dim(X), "\n")
cat("sum", format(sum(X), digits = 15), "\n")
cat("gene", rownames(X)[7], format(sum(X[7, ]), digits = 15), "\n")
cat("cell", colnames(X)[3], format(sum(X[, 3]), digits = 15), "\n")

drug <- factor(read("obs/drug/categories")[read("obs/drug/codes") + 1])
cat("drug", paste(levels(drug), table(drug)), "\n")
for (column in intersect(c("psbulk_counts", "n_obs_aggregated"), names_in("obs"))) {
  cat(column, format(sum(as.numeric(read(paste0("obs/", column)))), digits = 15), "\n")
}
for (layer in names_in("layers")) {
  cat("layer", layer, format(sum(matrix_of(paste0("layers/", layer))), digits = 12), "\n")
}
if ("bulkgen" %in% names_in("uns")) cat("kind", read("uns/bulkgen/kind"), "\n")
