package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print the completion script for bash, zsh, fish or powershell",
		Example:   "  source <(reseal completion bash)",
		ValidArgs: shells,
		Args:      atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fix := "name one of " + strings.Join(shells, ", ")
			if len(args) == 0 {
				return unusable("completion: SHELL is missing", fix)
			}
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			return unusablef(fix, "completion: there is no script for the shell %q", args[0])
		},
	}
}
