"""The Web API's methods: functions from a call to an answer."""
