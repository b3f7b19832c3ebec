"""Rules for rows, gaps, completeness and inactivity: what is wrong with data, without looking any up."""
