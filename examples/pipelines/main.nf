// Which synthetic cells train the best classifier? One branch per method, all scored on the same real test cells.
//
//   nextflow run examples/pipelines/main.nf -params-file examples/pipelines/config.yaml

process split {
    input:
    path cells

    output:
    path 'parts/train.h5ad', emit: train
    path 'parts/val.h5ad', emit: validation
    path 'parts/test.h5ad', emit: test

    script:
    """
    bulkgen split $cells --label $params.label --rng $params.seed --out parts
    """
}

process synthesize {
    cpus 2

    input:
    tuple val(method), val(options), path(train)

    output:
    tuple val(method), path("${method}.h5ad")

    script:
    """
    bulkgen synthesize $train --by $params.label --method $method $options -n $params.cells_per_label --rng $params.seed --threads $task.cpus -o ${method}.h5ad
    """
}

process tokenize {
    cpus 2

    input:
    tuple val(name), path(cells)

    output:
    tuple val(name), path("${name}.dataset")

    script:
    """
    bulkgen tokenize $cells --vocabulary $params.vocabulary --label $params.label --threads $task.cpus -o ${name}.dataset
    """
}

process finetune {
    cpus 2

    input:
    tuple val(name), path(training), path(validation)

    output:
    tuple val(name), path("${name}.run")

    script:
    """
    bulkgen finetune $training --validation $validation --model $params.model --rng $params.seed --threads $task.cpus -o ${name}.run
    """
}

process evaluate {
    publishDir 'scores'

    input:
    tuple val(name), path(run), path(test)

    output:
    path "${name}.json"

    script:
    """
    bulkgen evaluate $run $test -o ${name}.json
    """
}

workflow {
    split(file(params.cells))
    drawn = channel.fromList(params.methods.collect { method, options -> [method, options] })
    made = synthesize(drawn.combine(split.out.train))

    parts = split.out.train.map { cells -> ['train', cells] }
        .mix(split.out.validation.map { cells -> ['val', cells] }, split.out.test.map { cells -> ['test', cells] })
    tokens = tokenize(parts.mix(made))

    training = tokens.filter { name, _ -> !(name in ['val', 'test']) }
    validation = tokens.filter { name, _ -> name == 'val' }.map { _, folder -> folder }
    test = tokens.filter { name, _ -> name == 'test' }.map { _, folder -> folder }
    evaluate(finetune(training.combine(validation)).combine(test))
}
