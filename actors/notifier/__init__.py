"""The Notifier: tells people, by a webhook or a command, what they have to know at once."""
