"""PrivateDataBlock and PrivacyBudgetClaim: frozen objects, pure transitions, and their wire form."""
