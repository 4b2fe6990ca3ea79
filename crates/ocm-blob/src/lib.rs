//! Blobs as streams of chunks: verifying, limiting, archives and compression.
