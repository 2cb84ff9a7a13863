{{- /*
What the operator does with objects of the namespaces it serves. A test holds the list of these rules; change both.
*/ -}}
{{- define "tandem.rules" -}}
- apiGroups: [tandem.dev]
  resources: [doublemasters]
  verbs: [get, list, watch, patch]
- apiGroups: [tandem.dev]
  resources: [doublemasters/status]
  verbs: [patch]
# Owner references need it where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [tandem.dev]
  resources: [doublemasters/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- /* Cordons and missing nodes. */ -}}
{{- define "tandem.nodeRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
{{- end -}}

{{- /* The election of the leader, in the release's own namespace. */ -}}
{{- define "tandem.leaderRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "tandem.fullname" . }}]
  verbs: [get, update]
{{- end -}}
