"""Tests on a real Kubernetes: a control plane, and two booted hosts with containerd and kubelets."""
