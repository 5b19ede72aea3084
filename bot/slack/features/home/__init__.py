"""The app's Home: what each person sees there."""
