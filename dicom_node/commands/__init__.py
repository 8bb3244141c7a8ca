"""The commands of ``osteonode``, a module a group."""
