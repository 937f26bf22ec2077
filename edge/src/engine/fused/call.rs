//! What a call of a function computes, as layers of kernels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use medsa_kernels::{
    Activation, Behind, Beside, Between, Block, ConvBlock, Depthwise, FinalAttention, HyperMaps,
    Isa, LANES, LinearS8, MaskHead, MaskPrompt, Neck, Norm, Packed, Pointwise, Pool, Products,
    Projections, StepsOf, TinyVitBlock, TinyVitLayers, TwoWayBlock, VitBlock, VitLayers,
};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{FunctionProto, NodeProto, TensorProto};

use super::decoder::{Final, Head, Prompted, TwoWay};
use super::operator::Operation;

/// What computes a call.
pub(super) enum Kernel {
    /// From a map to a map.
    Block(Box<dyn Block>),
    /// Anything else.
    Operation(Arc<dyn Operation>),
}

/// A call of a function; its weights are taken in the order in which the function uses them.
pub(super) struct Call<'a> {
    node: &'a NodeProto,
    function: &'a FunctionProto,
    tensors: &'a HashMap<&'a str, &'a TensorProto>,
    /// How many of the inputs are weights.
    passed: usize,
    /// Weights that were not taken yet.
    weights: &'a [String],
    epsilons: Vec<f32>,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        node: &'a NodeProto,
        function: &'a FunctionProto,
        tensors: &'a HashMap<&'a str, &'a TensorProto>,
    ) -> Self {
        let is_weight = |name: &String| tensors.contains_key(name.as_str());
        let first = node.input.iter().position(is_weight).unwrap_or(node.input.len());
        let norms = function.node.iter().filter(|node| node.op_type == "LayerNormalization");
        let epsilon = |node: &NodeProto| {
            let found = node.attribute.iter().find(|attribute| attribute.name == "epsilon");
            found.map_or(1e-5, |attribute| attribute.f)
        };
        let epsilons = norms.rev().map(epsilon).collect();
        let weights = &node.input[first..];
        Self { node, function, tensors, passed: weights.len(), weights, epsilons }
    }

    /// The kernel, if there is one for it.
    pub(super) fn kernel(mut self, isa: Isa, pool: &Arc<Pool>) -> Option<Kernel> {
        let pool = Arc::clone(pool);
        let operator = self.function.name().trim_end_matches(|c: char| c.is_ascii_digit());
        let operation: Option<Arc<dyn Operation>> = match operator {
            "TwoWayBlock" => {
                let block = self.two_way_block(isa)?;
                Some(Arc::new(TwoWay { block, pool, memory: Mutex::default() }))
            }
            "FinalAttention" => {
                let attention = self.final_attention(isa)?;
                Some(Arc::new(Final { attention, pool, memory: Mutex::default() }))
            }
            "MaskPrompt" => {
                let prompt = self.mask_prompt(isa)?;
                Some(Arc::new(Prompted { prompt, pool }))
            }
            "MaskHead" => {
                let side = [self.attribute("height")?, self.attribute("width")?];
                let head = self.mask_head(isa)?;
                Some(Arc::new(Head { head, side, pool, memory: Mutex::default() }))
            }
            _ => None,
        };
        let outputs = if operator == "TwoWayBlock" { 2 } else { 1 };
        let given = self.node.input.len() - self.passed;
        if let Some(operation) = operation {
            let fits = self.weights.is_empty() && given >= operation.inputs();
            return (fits && self.node.output.len() == outputs)
                .then_some(Kernel::Operation(operation));
        }
        let block: Box<dyn Block> = match operator {
            "MBConv" => Box::new(self.conv_block(isa, 1, true)?),
            "PatchMerging" => Box::new(self.conv_block(isa, self.attribute("stride")?, false)?),
            "TinyViTBlock" => Box::new(self.tiny_vit_block(isa)?),
            "ViTBlock" => Box::new(self.vit_block(isa)?),
            "PatchEmbed" => Box::new(self.pointwise(isa)?),
            "Neck" => Box::new(self.neck(isa)?),
            _ => return None,
        };
        let fits = self.weights.is_empty() && given >= 1 && self.node.output.len() == outputs;
        fits.then_some(Kernel::Block(block))
    }

    fn two_way_block(&mut self, isa: Isa) -> Option<TwoWayBlock> {
        let [heads, first] = [self.number("heads")?, self.number("first")?];
        let self_attention = self.projections(isa)?;
        let norm1 = self.norm()?;
        let channels = norm1.channels();
        let token_to_image = self.projections(isa)?;
        let after_tokens = self.behind(isa, &token_to_image.out, channels)?;
        // HyP-Adpt's mean is the only thing that is multiplied by a number.
        let has_maps = after_tokens.as_ref().is_some_and(Behind::is_hyper);
        if self.scales() != usize::from(has_maps) {
            return None;
        }
        let norm2 = self.norm()?;
        let mlp = [self.linear(isa)?, self.linear(isa)?];
        let is_norm = self.weights.first()?.contains(".norm3.");
        let beside_mlp = if is_norm { None } else { Some(self.beside(isa)?) };
        let norm3 = self.norm()?;
        let image_to_token = self.projections(isa)?;
        let after_image = self.behind(isa, &image_to_token.out, channels)?;
        let block = TwoWayBlock {
            isa,
            heads,
            residual: first == 0,
            self_attention,
            token_to_image,
            after_tokens,
            mlp,
            beside_mlp,
            image_to_token,
            after_image,
            norms: [norm1, norm2, norm3, self.norm()?],
        };
        block.fits().then_some(block)
    }

    fn final_attention(&mut self, isa: Isa) -> Option<FinalAttention> {
        if self.scales() > 0 {
            return None;
        }
        let heads = self.number("heads")?;
        let token_to_image = self.projections(isa)?;
        let attention = FinalAttention { isa, heads, token_to_image, norm: self.norm()? };
        attention.fits().then_some(attention)
    }

    /// The adapter behind a projection, if there is one.
    #[expect(clippy::option_option, reason = "one that is not known, and none")]
    fn behind(&mut self, isa: Isa, out: &Packed, channels: usize) -> Option<Option<Behind>> {
        if out.outputs() == channels {
            return Some(None);
        }
        let mut between = Between::Activation(self.adapter_activation());
        if self.weights.first()?.contains(".hyp.") {
            let reduce = self.linear(isa)?;
            let mut maps = Vec::new();
            while self.weights.first()?.contains(".hyp.") {
                maps.push((self.linear(isa)?, self.norm()?));
            }
            between = Between::Hyper(HyperMaps { reduce, maps });
        }
        Some(Some(Behind { between, up: self.linear(isa)? }))
    }

    fn beside(&mut self, isa: Isa) -> Option<Beside> {
        let activation = self.adapter_activation();
        Some(Beside { down: self.linear(isa)?, activation, up: self.linear(isa)? })
    }

    /// Of a two-way block's adapters: its own MLP has ReLU.
    fn adapter_activation(&self) -> Activation {
        if self.uses("Gelu") { Activation::Gelu } else { Activation::Relu }
    }

    fn projections(&mut self, isa: Isa) -> Option<Projections> {
        // The order of their use.
        let [q, v, k] = [self.linear(isa)?, self.linear(isa)?, self.linear(isa)?];
        Some(Projections { q, k, v, out: self.linear(isa)? })
    }

    fn mask_prompt(&mut self, isa: Isa) -> Option<MaskPrompt> {
        let first = self.linear(isa)?;
        let [gamma, beta] = [0, 1].map(|_| self.take(self.weights.first()?));
        let first_norm = ([gamma?, beta?], self.epsilons.pop()?);
        let second = self.linear(isa)?;
        let second_norm = self.norm()?;
        let last = self.linear(isa)?;
        let no_mask = self.take(self.weights.first()?)?;
        let prompt = MaskPrompt { isa, first, first_norm, second, second_norm, last, no_mask };
        prompt.fits().then_some(prompt)
    }

    fn mask_head(&mut self, isa: Isa) -> Option<MaskHead> {
        let first = self.linear(isa)?;
        let norm = self.norm()?;
        let upscale = [first, self.linear(isa)?];
        let mut hypernetworks = Vec::new();
        while !self.weights.is_empty() {
            hypernetworks.push([self.linear(isa)?, self.linear(isa)?, self.linear(isa)?]);
        }
        let head = MaskHead { isa, upscale, norm, hypernetworks };
        head.fits().then_some(head)
    }

    fn pointwise(&mut self, isa: Isa) -> Option<Pointwise> {
        let layers = [self.linear(isa)?, self.linear(isa)?];
        let fits = layers[0].outputs() == layers[1].inputs() && whole(layers[1].outputs());
        fits.then(|| Pointwise::new(isa, layers))
    }

    fn neck(&mut self, isa: Isa) -> Option<Neck> {
        let reduce = self.linear(isa)?;
        let norm1 = self.norm()?;
        let conv = self.convolution(isa)?;
        let norm2 = self.norm()?;
        let fits = whole(reduce.inputs())
            && reduce.outputs() == norm1.channels()
            && conv.inputs() == 9 * norm1.channels()
            && conv.outputs() == norm2.channels();
        fits.then(|| Neck::new(isa, reduce, norm1, conv, norm2))
    }

    fn conv_block(&mut self, isa: Isa, stride: usize, residual: bool) -> Option<ConvBlock> {
        let expand = self.linear(isa)?;
        let depthwise = self.depthwise()?;
        let project = self.linear(isa)?;
        let fits = expand.outputs() == depthwise.channels()
            && project.inputs() == depthwise.channels()
            && whole(expand.inputs())
            && whole(project.outputs())
            && (!residual || expand.inputs() == project.outputs());
        fits.then(|| ConvBlock::new(isa, [expand, project], depthwise, stride, residual))
    }

    fn tiny_vit_block(&mut self, isa: Isa) -> Option<TinyVitBlock> {
        let [window, heads] = [self.attribute("window")?, self.attribute("heads")?];
        // Scores are scaled by the queries' weights, and adapters have the MLP's nonlinearity:
        // otherwise it is another function.
        if self.uses("Relu") || self.scales() > 0 {
            return None;
        }
        let beta = self.tensors.get(self.weights.get(1)?.as_str()).copied();
        let norm = self.norm()?;
        let channels = norm.channels();
        let qkv = self.linear(isa)?;
        self.skip("padding.");
        let name = self.weights.first()?;
        let bias = self.take(name)?;
        let offsets = self.take_offsets("window_offsets.")?;
        let tokens = window.checked_mul(window)?;
        let projection = self.linear(isa)?;
        let has_space = projection.outputs() > channels;
        let space = if has_space { Some(self.linear(isa)?) } else { None };
        let layers = TinyVitLayers {
            qkv_of_padding: &qkv.row(isa, &floats(beta?)?),
            bias: &spread(&bias, &offsets, heads, tokens)?,
            // Step sizes that are found for each row are those of attentions only.
            products: if self.uses("ReduceMax") { Products::Int8 } else { Products::Float },
            norm,
            qkv,
            projection,
            space,
            local_conv: self.depthwise()?,
            mlp_norm: self.norm()?,
            mlp: [self.linear(isa)?, self.linear(isa)?],
        };
        let TinyVitLayers { qkv, projection, space, local_conv, mlp_norm, mlp, .. } = &layers;
        let bottleneck = space.as_ref().map_or(0, Packed::inputs);
        let fits = [qkv.inputs(), qkv.outputs()] == [channels, 3 * channels]
            && [projection.inputs(), projection.outputs()] == [channels, channels + bottleneck]
            && space.as_ref().is_none_or(|space| space.outputs() == channels)
            && [local_conv.channels(), mlp_norm.channels()] == [channels; 2]
            && [mlp[0].inputs(), mlp[1].outputs()] == [channels; 2]
            && mlp[0].outputs() == mlp[1].inputs()
            && heads > 0
            && whole(channels / heads);
        fits.then(|| TinyVitBlock::new(isa, window, heads, layers))
    }

    fn vit_block(&mut self, isa: Isa) -> Option<VitBlock> {
        let [window, heads] = [self.attribute("window")?, self.attribute("heads")?];
        // As for TinyViT's.
        if self.uses("Relu") || self.scales() > 0 {
            return None;
        }
        let norm = self.norm()?;
        let channels = norm.channels();
        let qkv = self.linear(isa)?;
        // Where windows do not reach over the map's edge, nothing is read of it.
        let mut qkv_of_padding = vec![0.0; 3 * channels];
        let first = self.weights.first()?;
        if first.ends_with(".padding") {
            qkv_of_padding = self.take(first)?;
            self.skip("padding.");
        }
        let [rows, columns] = [self.positions()?, self.positions()?];
        let projection = self.linear(isa)?;
        let has_space = projection.outputs() > channels;
        let space = if has_space { Some(self.linear(isa)?) } else { None };
        let layers = VitLayers {
            qkv_of_padding: &qkv_of_padding,
            relative: [&rows, &columns],
            products: if self.uses("ReduceMax") { Products::Int8 } else { Products::Float },
            norm,
            qkv,
            projection,
            space,
            mlp_norm: self.norm()?,
            mlp: [self.linear(isa)?, self.linear(isa)?],
        };
        let VitLayers { qkv, projection, space, mlp_norm, mlp, .. } = &layers;
        let bottleneck = space.as_ref().map_or(0, Packed::inputs);
        let table = window.checked_mul(window)?.checked_mul(channels / heads)?;
        let fits = [qkv.inputs(), qkv.outputs(), qkv_of_padding.len()]
            == [channels, 3 * channels, 3 * channels]
            && [projection.inputs(), projection.outputs()] == [channels, channels + bottleneck]
            && space.as_ref().is_none_or(|space| space.outputs() == channels)
            && [mlp_norm.channels(), mlp[0].inputs(), mlp[1].outputs()] == [channels; 3]
            && mlp[0].outputs() == mlp[1].inputs()
            && channels.is_multiple_of(heads)
            && whole(channels / heads)
            && [rows.len(), columns.len()] == [table; 2];
        fits.then(|| VitBlock::new(isa, window, heads, layers))
    }

    /// A table of relative positions.
    fn positions(&mut self) -> Option<Vec<f32>> {
        let first = self.weights.first().filter(|name| name.contains(".rel_pos_"))?;
        self.take(first)
    }

    /// An attribute that is not zero.
    fn attribute(&self, name: &str) -> Option<usize> {
        self.number(name).filter(|value| *value > 0)
    }

    fn number(&self, name: &str) -> Option<usize> {
        let found = self.node.attribute.iter().find(|attribute| attribute.name == name)?;
        usize::try_from(found.i).ok()
    }

    fn uses(&self, operator: &str) -> bool {
        self.function.node.iter().any(|node| node.op_type == operator)
    }

    /// How often something is multiplied by a number.
    fn scales(&self) -> usize {
        let numbers: Vec<&String> = self
            .function
            .node
            .iter()
            .filter(|node| node.op_type == "Constant")
            .flat_map(|node| &node.output)
            .collect();
        let products = self.function.node.iter().filter(|node| node.op_type == "Mul");
        products.flat_map(|node| &node.input).filter(|input| numbers.contains(input)).count()
    }

    /// A linear layer `[in, out]` and its bias.
    fn linear(&mut self, isa: Isa) -> Option<Packed> {
        let first = self.weights.first()?;
        let Some(name) = first.strip_suffix(".inverse") else {
            let [inputs, outputs] = self.shape()?;
            let weight = self.take(first)?;
            let bias = self.float_bias(first).unwrap_or_else(|| vec![0.0; outputs]);
            let by_output =
                (0..inputs * outputs).map(|at| weight[at % inputs * outputs + at / inputs]);
            let fits = bias.len() == outputs;
            return fits.then(|| Packed::float(&by_output.collect::<Vec<_>>(), &bias));
        };
        let int8 = self.int8(name)?;
        let [inputs, outputs] = int8.shape[..] else { return None };
        let by_output =
            (0..inputs * outputs).map(|at| int8.weight[at % inputs * outputs + at / inputs]);
        let fits = [int8.inverse.len(), int8.zero.len()] == [inputs; 2]
            && [int8.steps.len(), int8.bias.len()] == [outputs; 2];
        fits.then(|| {
            Packed::int8(
                isa,
                &LinearS8 {
                    weight: &by_output.collect::<Vec<_>>(),
                    steps: &int8.steps,
                    bias: &int8.bias,
                    inverse: &int8.inverse,
                    zero: &int8.zero,
                },
            )
        })
    }

    /// A dense 3x3 convolution, as a linear layer of the nine neighbours, row by row.
    fn convolution(&mut self, isa: Isa) -> Option<Packed> {
        let first = self.weights.first()?;
        // From [out, in, 9] to [out, 9, in].
        let channels_last = |outputs: usize, inputs: usize| {
            let taps = move |at: usize| (at / inputs % 9, at % inputs);
            (0..outputs * 9 * inputs).map(move |at| {
                let (tap, input) = taps(at);
                (at / (9 * inputs) * inputs + input) * 9 + tap
            })
        };
        let Some(name) = first.strip_suffix(".inverse") else {
            let [outputs, inputs, 3, 3] = self.shape()? else { return None };
            let weight = self.take(first)?;
            let by_tap: Vec<f32> = channels_last(outputs, inputs).map(|at| weight[at]).collect();
            // SAM's has no bias.
            return Some(Packed::float(&by_tap, &vec![0.0; outputs]));
        };
        let Int8 { shape, weight, steps, mut bias, inverse, zero } = self.int8(name)?;
        let [outputs, inputs, 3, 3] = shape[..] else { return None };
        if [inverse.len(), zero.len()] != [inputs; 2] || [steps.len(), bias.len()] != [outputs; 2] {
            return None;
        }
        let weight: Vec<i8> = channels_last(outputs, inputs).map(|at| weight[at]).collect();
        let [inverse, zero] = [inverse, zero].map(|each| each.repeat(9));
        // What a convolution subtracts from its input, a linear layer does not.
        for ((bias, step), weight) in bias.iter_mut().zip(&steps).zip(weight.chunks(9 * inputs)) {
            let of_zero: f32 = weight.iter().zip(&zero).map(|(w, zero)| f32::from(*w) * zero).sum();
            *bias -= step * of_zero;
        }
        let (weight, steps, bias) = (&weight[..], &steps[..], &bias[..]);
        let layer = LinearS8 { weight, steps, bias, inverse: &inverse, zero: &zero };
        Some(Packed::int8(isa, &layer))
    }

    /// A depthwise 3x3 convolution and its bias.
    fn depthwise(&mut self) -> Option<Depthwise> {
        let first = self.weights.first()?;
        let Some(name) = first.strip_suffix(".inverse") else {
            let [channels, 1, 3, 3] = self.shape()? else { return None };
            let weight = self.take(first)?;
            let bias = self.float_bias(first)?;
            let fits = bias.len() == channels && whole(channels);
            return fits.then(|| Depthwise::float(&weight, &bias));
        };
        let Int8 { shape, weight, steps, bias, inverse, zero } = self.int8(name)?;
        let [channels, 1, 3, 3] = shape[..] else { return None };
        let each = [steps.len(), bias.len(), inverse.len(), zero.len()];
        let fits = each == [channels; 4] && whole(channels);
        let input = StepsOf { inverse: &inverse, zero: &zero };
        fits.then(|| Depthwise::int8(&weight, &steps, &bias, input))
    }

    fn norm(&mut self) -> Option<Norm> {
        let [gamma, beta] = [0, 1].map(|_| self.take(self.weights.first()?));
        let (gamma, beta) = (gamma?, beta?);
        let fits = gamma.len() == beta.len() && whole(gamma.len());
        let epsilon = self.epsilons.pop()?;
        fits.then(|| Norm::new(&gamma, &beta, epsilon))
    }

    fn int8(&mut self, name: &str) -> Option<Int8> {
        let inverse = self.take(&format!("{name}.inverse"))?;
        let zero = format!("{name}.zero");
        // Left out where the zeros are zeros.
        let zero = match self.weights.first()? {
            first if *first == zero => self.take(&zero)?,
            _ => vec![0.0; inverse.len()],
        };
        let weight = self.next(&format!("{name}.s8"))?;
        Some(Int8 {
            shape: shape(weight)?,
            weight: bytes(weight)?,
            steps: self.take(&format!("{name}.step"))?,
            bias: self.take(&format!("{name}.bias"))?,
            inverse,
            zero,
        })
    }

    fn float_bias(&mut self, weight: &str) -> Option<Vec<f32>> {
        self.take(&format!("{}bias", weight.strip_suffix("weight")?))
    }

    /// The next weight, if that is its name.
    fn next(&mut self, name: &str) -> Option<&'a TensorProto> {
        let (first, rest) = self.weights.split_first()?;
        let tensor = self.tensors.get(first.as_str()).copied().filter(|_| first == name)?;
        self.weights = rest;
        Some(tensor)
    }

    fn take(&mut self, name: &str) -> Option<Vec<f32>> {
        self.next(name).and_then(floats)
    }

    fn take_offsets(&mut self, prefix: &str) -> Option<Vec<usize>> {
        let name = self.weights.first().filter(|name| name.starts_with(prefix))?;
        let tensor = self.next(name)?;
        let values = raw::<8>(tensor, DataType::Int64)?;
        values.map(|value| usize::try_from(i64::from_le_bytes(value)).ok()).collect()
    }

    fn skip(&mut self, prefix: &str) {
        if let [first, rest @ ..] = self.weights
            && first.starts_with(prefix)
        {
            self.weights = rest;
        }
    }

    /// Of the next weight.
    fn shape<const N: usize>(&self) -> Option<[usize; N]> {
        shape(self.tensors.get(self.weights.first()?.as_str())?)?.try_into().ok()
    }
}

/// A layer in 8 bits.
struct Int8 {
    shape: Vec<usize>,
    weight: Vec<i8>,
    steps: Vec<f32>,
    bias: Vec<f32>,
    inverse: Vec<f32>,
    zero: Vec<f32>,
}

fn whole(channels: usize) -> bool {
    channels > 0 && channels.is_multiple_of(LANES)
}

/// `[heads, offsets]` -> `[heads, tokens, tokens]`.
fn spread(bias: &[f32], offsets: &[usize], heads: usize, tokens: usize) -> Option<Vec<f32>> {
    if heads == 0 || offsets.len() != tokens.checked_mul(tokens)? {
        return None;
    }
    let rows = bias.chunks_exact(bias.len() / heads);
    rows.flat_map(|row| offsets.iter().map(|offset| row.get(*offset).copied())).collect()
}

fn shape(tensor: &TensorProto) -> Option<Vec<usize>> {
    tensor.dims.iter().map(|side| usize::try_from(*side).ok()).collect()
}

fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    Some(raw::<4>(tensor, DataType::Float)?.map(f32::from_le_bytes).collect())
}

fn bytes(tensor: &TensorProto) -> Option<Vec<i8>> {
    Some(raw::<1>(tensor, DataType::Int8)?.map(i8::from_le_bytes).collect())
}

/// Values of `N` bytes, as many as the shape says.
fn raw<const N: usize>(
    tensor: &TensorProto,
    kind: DataType,
) -> Option<impl Iterator<Item = [u8; N]>> {
    let count = shape(tensor)?.into_iter().try_fold(1_usize, usize::checked_mul)?;
    let is_whole = tensor.raw_data.len() == count.checked_mul(N)?;
    let (values, _) = tensor.raw_data.as_chunks::<N>();
    (tensor.data_type == kind as i32 && is_whole).then(|| values.iter().copied())
}
