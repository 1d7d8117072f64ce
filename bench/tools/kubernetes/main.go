// Command kubernetes is the control plane of a cluster in one file: the first argument
// says which of its programs to be, and the others are that program's own. Nothing in
// here decides anything; each is the main of the project's own package. One file links
// once what they share, which is nearly all of it.
//
//	kubernetes etcd|apiserver|scheduler|controller-manager [FLAG...]
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var command *cobra.Command
	switch program := os.Args[1]; program {
	case "etcd":
		etcdmain.Main(os.Args[1:])
		return
	case "apiserver":
		command = apiserver.NewAPIServerCommand()
	case "scheduler":
		command = scheduler.NewSchedulerCommand()
	case "controller-manager":
		command = controllers.NewControllerManagerCommand()
	default:
		usage()
	}
	command.SetArgs(os.Args[2:])
	os.Exit(cli.Run(command))
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: kubernetes etcd|apiserver|scheduler|controller-manager [FLAG...]")
	os.Exit(2)
}
