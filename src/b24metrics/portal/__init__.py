"""Speaking to a Bitrix24 portal, patiently."""
