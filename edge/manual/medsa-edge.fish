# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_medsa_edge_global_optspecs
    string join \n h/help V/version
end

function __fish_medsa_edge_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_medsa_edge_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_medsa_edge_using_subcommand
    set -l cmd (__fish_medsa_edge_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -s V -l version -d 'Print version'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "segment" -d 'Segments one frame and prints score, area and the latency of each stage as JSON'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "status" -d 'Prints the builds in the slots and the state of the service with this configuration'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "update" -d 'Downloads a build into the unused slot, verifies its signature, tests it here, and switches to it on trial. A running service loads it within a second, checks its times against the build\'s limits for this board, and confirms it after a healthy trial, or rolls back'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "accept" -d 'Tests whether a build may run on this machine: compares its masks with its acceptance vectors, prints overlaps and median times as JSON, and fails if a result is not accepted'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "check" -d 'Checks everything that `run` and captures need (values, build, source, files, folders) and lists all problems. Changes nothing, opens no port and makes no connection. Loads the build, which takes as much memory as the service'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "init" -d 'Writes a commented configuration for a source. Asks for the answers that the options do not give'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "pin" -d 'Asks for a PIN twice, and prints the line with its hash for a `[[user]]` of the configuration'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "rollback" -d 'Rolls back to the previous build. A running service loads it within a second'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "run" -d 'Runs the service until its source ends, or until SIGTERM or SIGINT'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "watch" -d 'Prints a line for every mask that devices publish, and draws the masks'
complete -c medsa-edge -n "__fish_medsa_edge_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l build -d 'Build to run (`.medsa`)' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l image -d 'DICOM file, PNG, JPEG, or folder of images' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l frame -d 'Number of the frame, from 0' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l point -d 'A click in frame pixels, on the structure (`X,Y`) or outside it (`X,Y,-`); repeatable' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l box -d 'A box around the structure, in frame pixels' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l out -d 'File for the mask, `.png`: size of the frame, values 0 and 255' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l overlay -d 'File for the frame with outline and prompts, `.png`, `.jpg` or `.jpeg`' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -l threads -d 'Threads of the runtime, 1 to 64; by default all cores' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand segment" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand status" -l config -d 'Configuration file of the service' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand status" -l json -d 'Print JSON'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand status" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l config -d 'Configuration file of the service' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l repository -d 'Folder or URL of the repository; by default `update.repository`' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l name -d 'Name of the build; by default `update.name`, or else that of the build in use' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l version -d 'Version of the build; by default the newest' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l within -d 'Longest time for the acceptance test in seconds' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l stage -d 'Only stage the build, without switching to it'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l danger-allow-downgrade -d 'Accept a version that is older than one that ran here'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -l again -d 'Accept a build that failed its trial here'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand update" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand accept" -l build -d 'Build to test (`.medsa`)' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand accept" -l board -d 'Check the times against the build\'s limits for this board; by default they are only printed' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand accept" -l threads -d 'Threads of the runtime, 1 to 64; by default all cores' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand accept" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand check" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand init" -l source -d 'Video device, DICOM file, image, folder of images, video file, or address such as rtsp://10.0.0.7/live or igtl://10.0.0.7:18944' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand init" -l broker -d '`embedded`, or the address of an MQTT broker such as mqtts://broker.example:8883' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand init" -l records -d 'Folder for captures, or `none`' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand init" -l out -d 'Configuration file to write' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand init" -l force -d 'Replaces the file if it exists'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand init" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand pin" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand rollback" -l config -d 'Configuration file of the service' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand rollback" -l danger-allow-downgrade -d 'Also roll back from a build that was confirmed'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand rollback" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand run" -l config -d 'Configuration file; `edge.example.toml` documents every key' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand run" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l broker -d 'URL of the broker' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l ca-file -d 'CA certificates (PEM) that must have signed the broker\'s certificate. Default: those of the system' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l client-cert -d 'Certificate (PEM) of this client, if the broker requires one' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l client-key -d 'Private key (PEM) of the client certificate' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l user -d 'User name at the broker' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l password-file -d 'File that holds the user\'s password and nothing else' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l client-id -d 'MQTT client id. Default: medsa-watch-PID' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l protocol -d 'Version of MQTT: 4 (3.1.1) or 5' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l device -d 'Watch only this device' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l clip -d 'Recording that the device plays, to draw masks over its frames. The frame number modulo the length of the recording selects the frame, so it may be looped' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l out -d 'Folder for one image (PNG) per frame, of the first device seen' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l gif -d 'File for an animation (GIF) of the images' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l strip -d 'File for a sheet (PNG) of up to twelve of the images' -r -F
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l count -d 'End after this many masks' -r
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -l until-offline -d 'End when a device that was online goes offline'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand watch" -s h -l help -d 'Print help'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "segment" -d 'Segments one frame and prints score, area and the latency of each stage as JSON'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "status" -d 'Prints the builds in the slots and the state of the service with this configuration'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "update" -d 'Downloads a build into the unused slot, verifies its signature, tests it here, and switches to it on trial. A running service loads it within a second, checks its times against the build\'s limits for this board, and confirms it after a healthy trial, or rolls back'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "accept" -d 'Tests whether a build may run on this machine: compares its masks with its acceptance vectors, prints overlaps and median times as JSON, and fails if a result is not accepted'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "check" -d 'Checks everything that `run` and captures need (values, build, source, files, folders) and lists all problems. Changes nothing, opens no port and makes no connection. Loads the build, which takes as much memory as the service'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "init" -d 'Writes a commented configuration for a source. Asks for the answers that the options do not give'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "pin" -d 'Asks for a PIN twice, and prints the line with its hash for a `[[user]]` of the configuration'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "rollback" -d 'Rolls back to the previous build. A running service loads it within a second'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "run" -d 'Runs the service until its source ends, or until SIGTERM or SIGINT'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "watch" -d 'Prints a line for every mask that devices publish, and draws the masks'
complete -c medsa-edge -n "__fish_medsa_edge_using_subcommand help; and not __fish_seen_subcommand_from segment status update accept check init pin rollback run watch help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
