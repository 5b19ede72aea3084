"""Search documents: two legs, one fusion, and a check against the manifest."""
