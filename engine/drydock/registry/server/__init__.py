"""The kit's own registry: `/v2/` as the OCI distribution specification says, for docker, podman, skopeo and buildah.

$DRYDOCK_HOME/registry/
    blobs/sha256/HEX                    every blob once, whoever pushed it; where it can be, one file with the engine's
    repositories/NAME/_blobs/HEX        this repository has the blob; inside: the file's stamp when it was verified
    repositories/NAME/_manifests/HEX    this repository has the manifest; inside: its media type
    repositories/NAME/_tags/TAG         the digest that the tag means now: a tag is no more than this file
    repositories/NAME/_referrers/HEX/   the manifests whose subject has this digest
    repositories/NAME/_uploads/ID       a blob on its way in

A part of a repository's name never begins with an underscore, so the two kinds of folder cannot meet.
Source: OCI distribution-spec 1.1, spec.md.
"""
