"""A website as a source."""
