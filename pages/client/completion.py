"""``pages completion``: what a shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the shell's completion of commands.

    \b
    bash:  pages completion bash > ~/.local/share/bash-completion/completions/pages
    zsh:   pages completion zsh > "${fpath[1]}/_pages"
    fish:  pages completion fish > ~/.config/fish/completions/pages.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise RuntimeError(f"click knows no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "pages", "_PAGES_COMPLETE").source())
