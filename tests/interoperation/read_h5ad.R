# Reads h5ad files with a package of R's, and prints what it found of each, one fact a line.
#
#   Rscript read_h5ad.R rhdf5|hdf5r FILE...
suppressMessages(library(Matrix))
arguments <- commandArgs(trailingOnly = TRUE)

# functions that read a dataset, a matrix and an attribute, and list a group
reader <- function(package, file) {
  if (package == "rhdf5") {
    values <- function(name) rhdf5::h5read(file, name, bit64conversion = "double")
    list(
      read = function(name) as.vector(values(name)),
      dense = values,
      attribute = function(name, which) as.vector(rhdf5::h5readAttributes(file, name)[[which]]),
      names_in = function(group) {
        found <- rhdf5::h5ls(file)
        found$name[found$group == paste0("/", group)]
      }
    )
  } else {
    h5 <- hdf5r::H5File$new(file, mode = "r")
    list(
      read = function(name) as.vector(h5[[name]][]),
      dense = function(name) h5[[name]][, ],
      attribute = function(name, which) hdf5r::h5attr(h5[[name]], which),
      names_in = function(group) h5[[group]]$names
    )
  }
}

# compressed rows of cells are compressed columns of R's genes x cells
matrix_of <- function(h5, name) {
  if (!grepl("csr", h5$attribute(name, "encoding-type"))) return(h5$dense(name))
  shape <- as.integer(h5$attribute(name, "shape"))
  sparseMatrix(
    i = as.integer(h5$read(paste0(name, "/indices"))), p = as.integer(h5$read(paste0(name, "/indptr"))),
    x = as.numeric(h5$read(paste0(name, "/data"))), dims = rev(shape), index1 = FALSE
  )
}

for (file in arguments[-1]) {
  h5 <- reader(arguments[1], file)
  X <- matrix_of(h5, "X")
  rownames(X) <- h5$read("var/_index")
  colnames(X) <- h5$read("obs/_index")
  cat("file", file, "\n")
  cat("dim", dim(X), "\n")
  cat("sum", format(sum(X), digits = 15), "\n")
  cat("gene", rownames(X)[7], format(sum(X[7, ]), digits = 15), "\n")
  cat("cell", colnames(X)[3], format(sum(X[, 3]), digits = 15), "\n")
  drug <- factor(h5$read("obs/drug/categories")[h5$read("obs/drug/codes") + 1])
  cat("drug", paste(levels(drug), table(drug)), "\n")
  for (column in intersect(c("psbulk_counts", "n_obs_aggregated"), h5$names_in("obs"))) {
    cat(column, format(sum(as.numeric(h5$read(paste0("obs/", column)))), digits = 15), "\n")
  }
  for (layer in h5$names_in("layers")) {
    cat("layer", layer, format(sum(matrix_of(h5, paste0("layers/", layer))), digits = 12), "\n")
  }
  cat("kind", h5$read("uns/bulkgen/kind"), "\n")
}
