# SPDX-License-Identifier: BSD-2-Clause
# Completion of moat(1) for fish: the command itself knows what may come next.
function __moat_candidates
    set -l words (commandline -opc)
    set -l candidates (moat complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if contains -- :files $candidates
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $candidates
    end
end
complete --command moat --no-files --keep-order --arguments '(__moat_candidates)'
