"""A provider for the real Terraform that knows the schema of Google's and touches nothing.

It answers what a program that plans needs: which types there are, what a configuration may say, and what
a plan looks like. Values that Google would decide are unknown in a plan, and made up when it is applied. It
does not know defaults, ranges, or rules between fields: it proves the shape of HCL, never its effect.
"""
