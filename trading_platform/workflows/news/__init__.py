"""News: fetch feeds, import files, link articles to instruments, score their sentiment."""
