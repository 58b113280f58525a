"""The report of a study: what its results hold, in sentences, figures and tables, as HTML and as Markdown."""
