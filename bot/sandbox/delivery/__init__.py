"""Events to the app, over Socket Mode or HTTP, until it acknowledges them."""
